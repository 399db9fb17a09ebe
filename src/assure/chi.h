// Chi-square: how likely a deviation from expected counts is, when the counts really follow them (Pearson 1900).
#pragma once

// P(X >= x) for X with `degrees` degrees of freedom: the regularised upper incomplete gamma function Q(degrees/2, x/2),
// by its series below the mean and its continued fraction above. 1 for x <= 0 or degrees < 1. Relative error below
// 1e-10.
double tdm_chi_square_tail(double x, int degrees);
