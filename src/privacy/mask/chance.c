#include "privacy/mask/chance.h"
#include "base/random.h"
#include <math.h>

static int system_next(struct tdm_chance *self, double *out) {
	uint64_t bits = 0;
	int status = tdm_system_random(&bits, sizeof bits);
	*out = (double)(bits >> 11) * 0x1p-53;
	return status;
}
struct tdm_chance tdm_system_chance = {system_next};

int tdm_noised_vector(const float *vector, int width, double epsilon, struct tdm_chance *chance, float *out) {
	double radius = 0, length = 0, u, v;
	int status = TDM_OK;
	for (int i = 0; i < width && !status; i++) {
		status = chance->next(chance, &u);
		radius -= log(1 - u) / epsilon; // a sum of `width` exponentials
	}
	for (int i = 0; i < width && !status; i++) {
		status = chance->next(chance, &u);
		status = status ? status : chance->next(chance, &v);
		double normal = sqrt(-2 * log(1 - u)) * cos(2 * M_PI * v);
		out[i] = (float)normal;
		length += normal * normal;
	}
	for (int i = 0; i < width && !status; i++)
		out[i] = (float)((double)vector[i] + radius * (double)out[i] / sqrt(length));
	return status;
}
