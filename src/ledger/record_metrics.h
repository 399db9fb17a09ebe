// Record metrics: what a closed record adds to the metrics.
#pragma once
#include "ledger/record.h"

struct tdm_record_end { // what the record does not know
	int http_status;
	const char *error_code; // NULL = none
	bool shown;             // some of the answer had reached the client
};
void tdm_record_metrics(const struct tdm_record *r, const struct tdm_record_end *end);
