// Fields: every text of a request that a mask must look at, in one list, and the request made again of what became of
// them. Which field of a wire format ends where: api sheet; which of them are masked: privacy sheet, "Field coverage".
#pragma once
#include "models/model.h"
#include "privacy/detect/detect.h"

struct tdm_document; // a JSON text whose strings, numbers and keys are looked at one by one

struct tdm_fields {
	const struct tdm_request *request;
	struct tdm_text
	    *texts;        // field: the key of the JSON that holds it; strand: what the user says, one call's arguments
	size_t n, n_whole; // the first n_whole are no parts of documents
	struct tdm_document *documents; // arguments of calls, then parameters of tools; NULL-safe when there are none
	size_t n_documents;
};

// TDM_OK or TDM_ENOMEM. Everything lives in the arena or the request.
int tdm_fields_collect(struct tdm_fields *f, struct tdm_arena *arena, const struct tdm_request *request);
// *out: the request with masked[i] in the place of texts[i]. Once for each collect. TDM_ENOMEM, or TDM_EPRIVACY for a
// schema that holds a private value outside of its strings, and a tool whose name is a secret.
int tdm_fields_build(const struct tdm_fields *f, struct tdm_arena *arena, const struct tdm_text *masked,
                     struct tdm_request *out, struct tdm_error *err);
