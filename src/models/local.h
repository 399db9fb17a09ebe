// Local: a model whose weights run in this process.
#pragma once
#include "engine/engine.h"
#include "models/model.h"

// What its engine says of itself; NULL when the model is not of kind local.
const struct tdm_engine_info *tdm_local_info(const struct tdm_model *m);
