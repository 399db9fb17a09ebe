#include "models/gate.h"
#include "models/kind.h"
#include <stdarg.h>
#include <stdio.h>

bool tdm_gate_accepts(double score, double threshold) {
	return !isnan(score) && score >= threshold;
}

void tdm_gate_record(struct tdm_run *run, const struct tdm_model *by, const char *choice, const char *signal,
                     double score, double threshold, const char *detail, ...) {
	char text[160] = "";
	struct tdm_decision d = {.by = by->name, .choice = choice, .signal = signal, .score = score};
	d.kind = by->kind ? by->kind->name : NULL;
	d.threshold = threshold;
	if (detail) {
		va_list args;
		va_start(args, detail);
		vsnprintf(text, sizeof text, detail, args);
		va_end(args);
		d.detail = tdm_arena_string(run->record->arena, text);
	}
	tdm_record_decision(run->record, &d);
}

bool tdm_gate_may_replace(int status) {
	switch (status) {
	case TDM_EGONE:
	case TDM_EDEADLINE:
	case TDM_EFILTERED:
	case TDM_EPRIVACY:
	case TDM_EEGRESS:
	case TDM_EGUARD:
		return false;
	default:
		return status < 0;
	}
}
