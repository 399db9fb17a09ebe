// The tiny model of the tests of models/.
#include "../models/toy.c"
