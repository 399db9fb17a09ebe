// Cores: the turns of all engines' passes for the cores of the machine.
#pragma once

// Waits for the turn, and for as many free cores as a pass of n_threads can use; returns their number.
int tdm_cores_take(int n_threads);
void tdm_cores_give(int n);
