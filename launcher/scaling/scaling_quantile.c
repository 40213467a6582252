#include "scaling_quantile.h"

#include <float.h>
#include <math.h>

#define PI 3.14159265358979323846

enum { FRACTION_STEPS_MAX = 1000, NEWTON_STEPS_MAX = 200 };

/* Keeps a divisor of Lentz's method from 0. */
static double away_from_zero(double value)
{
    return fabs(value) < DBL_MIN ? DBL_MIN : value;
}

/* The continued fraction of DLMF 8.17.22 by the modified Lentz method; converges fast for x < (a+1) / (a+b+2). */
static double beta_fraction(double a, double b, double x)
{
    double c = 1.0, d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)), value = d;
    for (int m = 1; m <= FRACTION_STEPS_MAX; m++) {
        double k = m;
        double even = k * (b - k) * x / ((a + 2.0 * k - 1.0) * (a + 2.0 * k));
        double odd = -(a + k) * (a + b + k) * x / ((a + 2.0 * k) * (a + 2.0 * k + 1.0));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        value *= c * d;
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        value *= c * d;
        if (fabs(c * d - 1.0) < 4.0 * DBL_EPSILON)
            break;
    }
    return value;
}

double scaling_beta_incomplete(double a, double b, double x)
{
    if (x <= 0.0 || x >= 1.0)
        return x <= 0.0 ? 0.0 : 1.0;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    if (x < (a + 1.0) / (a + b + 2.0))
        return front * beta_fraction(a, b, x) / a;
    return 1.0 - front * beta_fraction(b, a, 1.0 - x) / b;
}

double scaling_t_probability(double t, double df)
{
    if (isinf(df))
        return 0.5 * erfc(-t / sqrt(2.0));
    double tail = 0.5 * scaling_beta_incomplete(0.5 * df, 0.5, df / (df + t * t));
    return t < 0.0 ? tail : 1.0 - tail;
}

static double t_density(double t, double df)
{
    if (isinf(df))
        return exp(-0.5 * t * t) / sqrt(2.0 * PI);
    double scale = exp(lgamma(0.5 * df + 0.5) - lgamma(0.5 * df)) / sqrt(df * PI);
    return scale * exp(-0.5 * (df + 1.0) * log1p(t * t / df));
}

/* Newton's method from 0: the distribution is concave above 0, so that every step falls short of the quantile. */
double scaling_t_quantile(double probability, double df)
{
    if (probability < 0.5)
        return -scaling_t_quantile(1.0 - probability, df);
    double t = 0.0, step = 1.0;
    for (int i = 0; i < NEWTON_STEPS_MAX && step > 1e-13 * t; i++) {
        step = (probability - scaling_t_probability(t, df)) / t_density(t, df);
        t += step;
    }
    return t;
}

double scaling_f_tail(double f, double df1, double df2)
{
    return f <= 0.0 ? 1.0 : scaling_beta_incomplete(0.5 * df2, 0.5 * df1, df2 / (df2 + df1 * f));
}

double scaling_t_95(double df)
{
    return scaling_t_quantile(0.975, df);
}
