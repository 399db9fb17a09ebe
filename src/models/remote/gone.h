// Gone: ends the waiting of calls whose answer nobody waits for any more. A call that waits in recv() looks at no flag;
// one thread looks at the flags of all of them, so that a thousand streams do not wake fifty times a second each.
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

struct tdm_gone {                // one call; filled by it, and its own again after tdm_gone_forget
	const atomic_bool *stops[2]; // NULL: never
	int fd;
	bool cut; // the socket was shut down
	struct tdm_gone *next, *before;
};

// Within TDM_GONE_MS of one of its flags, its socket is shut down, which ends a recv() on it. false: there is no thread
// for that, and the caller has to look itself.
#define TDM_GONE_MS 15
bool tdm_gone_watch(struct tdm_gone *g);
void tdm_gone_forget(struct tdm_gone *g);
