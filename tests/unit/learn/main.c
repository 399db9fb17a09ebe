// Unit tests of learn: every file is one group.
#include "tests.h"

int main(void) {
	return tdm_test_gradients() + tdm_test_train() + tdm_test_bpe() + tdm_test_fit();
}
