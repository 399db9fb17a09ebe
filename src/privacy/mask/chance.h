// Chance: where noise comes from: the system in service, a seed in tests of the laws.
#pragma once
#include "base/status.h"

struct tdm_chance {                                    // uniform on [0, 1), 53 bits
	int (*next)(struct tdm_chance *self, double *out); // TDM_OK, or TDM_EIO: there is none, and nothing may be sent
};
extern struct tdm_chance tdm_system_chance;

// vector + r u, u uniform on the unit sphere, r ~ Gamma(width, 1 / epsilon) (RemoteRAG, arXiv 2412.12775): the density
// of what comes out differs between two vectors by at most exp(epsilon times their distance). TDM_OK or TDM_EIO.
int tdm_noised_vector(const float *vector, int width, double epsilon, struct tdm_chance *chance, float *out);
