#include "privacy/perturb/epsilon.h"
#include "base/bytes.h"
#include "base/crypto.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MICRO 1e6 // it is counted in millionths
#define NO_LIMIT ((int64_t)1 << 53)

// A key that tells nothing of the conversation.
static int key_of(struct tdm_run *run, const struct tdm_request *r, const char *name, char out[128]) {
	const char *parts[] = {name, run->tenant, run->objective.session};
	uint8_t digest[TDM_SHA256_BYTES];
	char hex[2 * TDM_SHA256_BYTES + 1];
	struct tdm_bytes b;
	size_t first = 0;
	while (first + 1 < r->n_messages && r->messages[first].from != TDM_FROM_USER)
		first++;
	tdm_bytes_init(&b, (size_t)64 << 20);
	for (size_t i = 0; i < 3; i++)
		tdm_bytes_printf(&b, "%zu:%s,", parts[i] ? strlen(parts[i]) : 0, parts[i] ? parts[i] : "");
	if (!run->objective.session)
		tdm_bytes_add(&b, r->messages[first].text, r->messages[first].len);
	bool failed = b.failed;
	tdm_sha256(b.data, b.len, digest);
	tdm_bytes_release(&b);
	tdm_hex(digest, sizeof digest, hex);
	snprintf(out, 128, "epsilon:%s", hex);
	return failed ? tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory to count epsilon", name) : TDM_OK;
}

int tdm_epsilon_spend(struct tdm_shared *state, struct tdm_run *run, const struct tdm_request *request,
                      const char *name, double amount, struct tdm_epsilon *e) {
	char key[128];
	struct tdm_denial denial = {0};
	struct tdm_error err = {0};
	struct tdm_claim claim = {.key = key, .meter = TDM_METER_WINDOW};
	claim.limit = e->limit > 0 ? (int64_t)(e->limit * MICRO) : NO_LIMIT;
	claim.amount = amount * MICRO < (double)NO_LIMIT ? (int64_t)ceil(amount * MICRO) : NO_LIMIT;
	e->spent = amount;
	int status = key_of(run, request, name, key);
	if (status != TDM_OK)
		return status;
	if (!state) {
		e->is_refused = claim.amount > claim.limit;
		e->spent = e->is_refused ? 0 : amount;
		return TDM_OK;
	}
	status = tdm_shared_claim(state, &claim, 1, &denial, &err);
	if (status != TDM_OK && status != TDM_ERATE)
		return tdm_fail(&run->error, TDM_EGUARD, "%s: epsilon cannot be counted: %s", name, err.text);
	e->is_refused = status == TDM_ERATE;
	e->spent = (double)(claim.limit - (e->is_refused ? denial.left : claim.left)) / MICRO;
	return TDM_OK;
}
