/* log.h - one line a fact, to stderr: "12:00:01.123 info index: text".
 * Components are switched by one string, e.g. "warn,index=debug,-http" (DOCENT_LOG or --log).
 * Any thread; a line is written with one write(2). Text is made printable (utf8_printable). */
#ifndef DOCENT_BASE_LOG_H
#define DOCENT_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* NULL or "" keeps the default: warnings and errors of all components. Unknown words are ignored. */
void log_setup(const char *spec);
int log_on(enum log_level level, const char *component);
void log_line(enum log_level level, const char *component, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
