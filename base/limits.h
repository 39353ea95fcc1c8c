/* limits.h - every size that comes from outside has its ceiling here, in one list.
 * Each is a default that is far above real use and far below what hurts the machine. */
#ifndef DOCENT_BASE_LIMITS_H
#define DOCENT_BASE_LIMITS_H

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

/* documents */
#define LIM_FILE_BYTES (2 * GIB) /* a larger file is quarantined */
#define LIM_DOC_PAGES 100000
#define LIM_DOC_TEXT (512 * MIB) /* UTF-8 text of one document */
#define LIM_PAGE_TEXT (4 * MIB)
#define LIM_PAGE_WORDS 400000
#define LIM_PART_TEXT (16 * KIB) /* files without pages are cut into parts of about this size */
#define LIM_TITLE 512
#define LIM_SECTION 512
#define LIM_PATH 4096
#define LIM_ARCHIVE_ENTRIES 10000
#define LIM_ARCHIVE_RATIO 100 /* unpacked bytes per packed byte (above 1 MiB) */
#define LIM_ARCHIVE_BYTES (512 * MIB)
#define LIM_XML_DEPTH 256

/* the parser child */
#define LIM_EXTRACT_MEMORY (2 * GIB) /* RLIMIT_AS of docent-extract */
#define LIM_EXTRACT_SECONDS 300 /* wall clock a document, unless pages keep coming */
#define LIM_EXTRACT_STALL_S 60 /* longest wait for the next page */
#define LIM_FRAME (64 * MIB) /* one message from the child */

/* questions */
#define LIM_QUERY_BYTES (16 * KIB)
#define LIM_QUERY_TERMS 256
#define LIM_K 1000 /* hits a query may ask for */
#define LIM_REQUEST_MEMORY (256 * MIB) /* arena of one request */
#define LIM_ANSWER_TOKENS 1024

/* models */
#define LIM_JSON_BYTES (256 * MIB)
#define LIM_JSON_DEPTH 128
#define LIM_SAFETENSORS_HEADER (100 * MIB)
#define LIM_TENSORS 100000
#define LIM_VOCAB 2000000
#define LIM_LAYERS 512
#define LIM_DIM 65536

#endif
