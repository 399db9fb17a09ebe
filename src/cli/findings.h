// Findings: what `tandem scan` found, as text, as JSON, or as SARIF 2.1.0 for the programs that show findings in code.
// A finding names its place, its type and what speaks for it; the value itself only when it was asked for.
#pragma once
#include "base/bytes.h"
#include "privacy/detect/detect.h"

struct tdm_finding {
	const char *path;
	size_t start, end;                         // bytes of the file
	size_t line, column, end_line, end_column; // from 1; columns count characters
	const struct tdm_entity *entity;
	float score;
	unsigned why;
	const char *value; // NULL: not shown
	size_t n_value;
};

enum tdm_findings_form { TDM_FINDINGS_TEXT, TDM_FINDINGS_JSON, TDM_FINDINGS_SARIF };
#define TDM_FINDINGS_CHOICES "text|json|sarif"

// items[0..n) in order; files: how many were looked at.
void tdm_findings_write(struct tdm_bytes *out, enum tdm_findings_form form, const struct tdm_finding *items, size_t n,
                        size_t files);
