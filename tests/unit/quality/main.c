// Unit tests of quality: every file is one group.
#include "tests.h"

int main(void) {
	return tdm_test_fuse() + tdm_test_guide() + tdm_test_pair();
}
