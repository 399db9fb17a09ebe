// Egress: the last look at the bytes that are about to leave the machine, by other means than the masker's: its own
// reader of JSON, its own normal form, the whole dictionary and all hard recognisers. Fails closed.
#pragma once
#include "models/model.h"
#include "privacy/detect/detect.h"
#include "privacy/mask/restore.h"

struct tdm_guarded_egress {
	struct tdm_egress base; // first; what is pushed onto run->egress
	const struct tdm_detector *detector;
	const struct tdm_dictionary *protect; // built
	const struct tdm_restorer *tokens;    // our own live tokens may leave
	int level;
};

// Blocks bytes that hold, in any string or key of the JSON (or in the text, when it is not JSON), a protected value
// (raw, escaped, in another case, with other separators) or a hard recogniser's match. TDM_OK, or TDM_EEGRESS naming
// the type and never the value; TDM_ENOMEM, TDM_EGUARD: could not look, so nothing may leave.
int tdm_egress_scan(struct tdm_egress *self, const char *bytes, size_t n, struct tdm_error *err);
// The same for one text as it is.
int tdm_egress_scan_text(const struct tdm_guarded_egress *e, const char *text, size_t n, struct tdm_error *err);
