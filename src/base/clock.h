// Clocks: the only place that reads time.
#pragma once
#include <stdint.h>

int64_t tdm_now_us(void);  // monotonic microseconds; for durations and deadlines
int64_t tdm_wall_us(void); // microseconds since 1970, UTC; for records
