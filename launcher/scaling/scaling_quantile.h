/* scaling_quantile.h: Student's t and Snedecor's F, through the regularised incomplete beta function. */
#ifndef SCALING_QUANTILE_H
#define SCALING_QUANTILE_H

/* I_x(a, b) for a, b > 0 and x in [0, 1], to about 1e-13 (less where a or b are millions).
 * By the continued fraction, DLMF 8.17.22. */
double scaling_beta_incomplete(double a, double b, double x);

/* P(T <= t) with `df` > 0 degrees of freedom, not necessarily whole; df = INFINITY: the normal distribution. */
double scaling_t_probability(double t, double df);

/* The t with P(T <= t) = probability, of (0, 1). */
double scaling_t_quantile(double probability, double df);

/* P(F > f) of a ratio of mean squares with `df1` above and `df2` below. */
double scaling_f_tail(double f, double df1, double df2);

/* Half the width of a 95 % interval in standard errors. */
double scaling_t_95(double df);

#endif
