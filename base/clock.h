/* clock.h - time as a number. Tests pass times as arguments instead of sleeping. */
#ifndef DOCENT_BASE_CLOCK_H
#define DOCENT_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_ns(void); /* monotonic, since some fixed point */
double clock_ms(void); /* monotonic, milliseconds with fraction */
int64_t clock_unix_ms(void); /* wall clock, milliseconds since 1970 */
void clock_nap_ms(long ms);

#endif
