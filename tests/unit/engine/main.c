// Unit tests of the engine: every file is one group.
#include "tests.h"

int main(void) {
	return tdm_test_gguf() + tdm_test_quantize() + tdm_test_forward();
}
