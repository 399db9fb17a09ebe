// Unit tests of assure: every file is one group.
#include "tests.h"

int main(void) {
	return tdm_test_bounds() + tdm_test_control() + tdm_test_chi();
}
