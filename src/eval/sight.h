// Sight: which sources a model leads to, which of them only masks lead to, and whether protected values reach them.
#pragma once
#include "base/bytes.h"
#include "eval/gym.h"
#include "models/kind.h"
#include <pthread.h>

// Appends to sources[0..*n) the sources below m that are not there yet; at most cap.
void tdm_sight_sources(const struct tdm_model *m, const struct tdm_model **sources, size_t *n, size_t cap);
// covered[i]: sources[i] is below m, and every way from m to it leads through a policy that guards privacy.
void tdm_sight_covered(const struct tdm_model *m, const struct tdm_model *const *sources, size_t n, bool *covered);

// Watches one answer to one item. Give &watch.tap to run->tap.
struct tdm_sight {
	struct tdm_tap tap;
	const struct tdm_gym_item *item;
	const struct tdm_model *const *sources;
	const bool *covered; // one per source
	size_t n_sources;
	struct tdm_bytes value, text; // scratch: without case and separators
	pthread_mutex_t lock;         // of the scratch and the findings
	bool leaked;                  // a protected value reached a covered source
	bool exposed;                 // a protected value reached another one
	bool left;                    // a protected value reached one that is not on this machine
};
void tdm_sight_init(struct tdm_sight *s, const struct tdm_gym_item *item, const struct tdm_model *const *sources,
                    const bool *covered, size_t n_sources);
void tdm_sight_release(struct tdm_sight *s);
