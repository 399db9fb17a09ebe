// Runs the unit tests of eval.
#include "tests.h"

int main(void) {
	return tdm_test_gym() + tdm_test_gym_check() + tdm_test_gym_values() + tdm_test_run() ? 1 : 0;
}
