// Clocks: the only place that reads time.
#pragma once
#include <stdint.h>

int64_t tdm_now_us(void); // monotonic microseconds; for durations and deadlines
int64_t
tdm_work_us(void); // processor time of the calling thread; for budgets of work, which a busy machine leaves alone
int64_t tdm_wall_us(void); // microseconds since 1970, UTC; for records
