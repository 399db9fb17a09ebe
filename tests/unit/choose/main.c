// Unit tests of choose: every file is one group.
#include "tests.h"

int main(void) {
	return tdm_test_choose();
}
