// Street: the grammar of addresses. A number with a street, in the orders of America, Britain and Europe, boxes at post
// offices, and what stands beside them: flat, town, region, postcode and country, over several lines.
#pragma once
#include "privacy/detect/gazetteer.h"

// Called for every address: terms[first..last]. Negative: stops, and tdm_street_find returns it.
typedef int tdm_street_fn(void *arg, const struct tdm_term *first, const struct tdm_term *last);
// The terms with their lists (tdm_gazetteer_mark). Work per term is bounded.
int tdm_street_find(const char *text, const struct tdm_terms *terms, tdm_street_fn *found, void *arg);
