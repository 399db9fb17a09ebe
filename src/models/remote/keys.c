// Keys: turns among the keys that do not rest.
#include "models/remote/keys.h"
#include "base/log.h"
#include "base/status.h"

#define DEAD_US INT64_C(600000000)
#define LIMITED_US 1000000 // when the upstream does not say how long
#define SLOW_US 1000000    // between two calls with the only key, while it is limited

// Under the lock. How long until key i may be used.
static int64_t wait_of(const struct tdm_keys *k, size_t i, int64_t now_us) {
	const struct tdm_key *key = &k->items[i];
	if (key->rest_us <= now_us)
		return 0;
	int64_t rest_us = key->rest_us - now_us, slow_us = key->tried_us + SLOW_US - now_us;
	if (k->n == 1 && slow_us <= 0)
		return 0;
	return rest_us;
}

int tdm_keys_take(struct tdm_keys *k, int64_t now_us, int64_t *wait_us) {
	int taken = -1;
	*wait_us = INT64_MAX;
	pthread_mutex_lock(&k->lock);
	for (size_t t = 0; t < k->n && taken < 0; t++) {
		size_t i = (k->next + t) % k->n;
		int64_t wait = wait_of(k, i, now_us);
		*wait_us = wait < *wait_us ? wait : *wait_us;
		if (wait == 0)
			taken = (int)i;
	}
	if (taken >= 0) {
		k->items[taken].tried_us = now_us;
		k->next = ((size_t)taken + 1) % k->n;
	}
	pthread_mutex_unlock(&k->lock);
	return taken;
}

void tdm_keys_end(struct tdm_keys *k, int i, int64_t now_us, int status, int64_t retry_after_ms) {
	struct tdm_key *key = &k->items[i];
	bool alarm = false;
	pthread_mutex_lock(&k->lock);
	if (status == TDM_OK) {
		key->rest_us = 0;
		key->dead = false;
	} else if (status == TDM_EUPAUTH) {
		alarm = !key->dead;
		key->dead = true;
		key->rest_us = k->n > 1 ? now_us + DEAD_US : 0;
	} else if (status == TDM_ERATE && (retry_after_ms > 0 || k->n > 1)) {
		key->rest_us = now_us + (retry_after_ms > 0 ? retry_after_ms * 1000 : LIMITED_US);
	}
	pthread_mutex_unlock(&k->lock);
	if (alarm)
		tdm_log(TDM_ERROR, "upstream.key", NULL, " model=%s key=%d state=dead", k->model, i + 1);
}
