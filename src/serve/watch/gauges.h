// Gauges: what metrics say of models at the moment when they are asked for.
#pragma once
#include "models/tree.h"

void tdm_set_gauges_of(const struct tdm_tree *tree);
