// Dates: see date.c.
#pragma once
#include "privacy/detect/entities.h"

// Whether the calendar has this day. year < 0: unknown, 29 February may be.
bool tdm_calendar(int year, int month, int day);

enum tdm_check tdm_check_numeric_date(struct tdm_candidate *c); // 2024-11-02, 2.11.2024, 11/2/24
enum tdm_check tdm_check_named_date(struct tdm_candidate *c);   // the anchor ends with the name of a month
enum tdm_check tdm_check_year(struct tdm_candidate *c);         // the anchor ends with it
enum tdm_check tdm_check_weekday(struct tdm_candidate *c);
enum tdm_check tdm_check_age(struct tdm_candidate *c);      // "34 years old", "aged 34"
enum tdm_check tdm_check_bare_age(struct tdm_candidate *c); // "I am 34"
