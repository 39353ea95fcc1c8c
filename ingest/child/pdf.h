/* pdf.h - PDF through poppler-glib. Inside docent-extract only. */
#ifndef DOCENT_INGEST_CHILD_PDF_H
#define DOCENT_INGEST_CHILD_PDF_H

#include "ingest/child/child.h"

/* Before the sandbox closes: types and tables that poppler and GLib load once. */
void pdf_warm_up(void);
/* The pages before this one are left out: an earlier process has read them. */
void pdf_start_at(uint32_t page);
int pdf_page_png(int fd, uint64_t size, uint32_t page, int dpi, struct emit *em, struct err *e);

#endif
