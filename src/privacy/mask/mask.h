// Mask, as other kinds of privacy see one below them.
#pragma once
#include "models/model.h"
#include "privacy/detect/detect.h"

// What it finds private values with, and *level from which on; NULL when m is no mask.
const struct tdm_detector *tdm_mask_detector(const struct tdm_model *m, int *level);
