// Chain: each row of the ledger is bound to the one before it.
#include "ledger/database.h"
#include <string.h>

void tdm_chain_extend(char chain[TDM_CHAIN_BYTES], const char *receipt, size_t n) {
	struct tdm_bytes b;
	uint8_t hash[TDM_SHA256_BYTES];
	tdm_bytes_init(&b, n + TDM_CHAIN_BYTES);
	tdm_bytes_puts(&b, chain);
	tdm_bytes_add(&b, receipt, n);
	tdm_sha256(b.data ? b.data : "", b.len, hash);
	tdm_hex(hash, sizeof hash, chain);
	tdm_bytes_release(&b);
}

int tdm_chain_check(char chain[TDM_CHAIN_BYTES], long long number, const char *receipt, size_t n, const char *stored,
                    struct tdm_error *err) {
	tdm_chain_extend(chain, receipt, n);
	if (stored && !strcmp(chain, stored))
		return TDM_OK;
	return tdm_fail(err, TDM_ELEDGER, "ledger: row %lld does not fit the row before it", number);
}
