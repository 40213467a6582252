#include "view_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const char *unknown(char text[VIEW_TEXT])
{
    text[0] = '-';
    text[1] = '\0';
    return text;
}

const char *view_text_duration(double seconds, char text[VIEW_TEXT])
{
    if (!(seconds >= 0.0 && seconds < 1e11))
        return unknown(text);
    int64_t s = (int64_t)seconds, days = s / 86400;
    int used = days ? snprintf(text, VIEW_TEXT, "%" PRId64 " d ", days) : 0;
    snprintf(text + used, (size_t)(VIEW_TEXT - used), days ? "%02d:%02d:%02d" : "%d:%02d:%02d", (int)(s % 86400 / 3600),
             (int)(s % 3600 / 60), (int)(s % 60));
    return text;
}

const char *view_text_count(int64_t count, char text[VIEW_TEXT])
{
    char digits[VIEW_TEXT / 2];
    if (count < 0)
        return unknown(text);
    int n = snprintf(digits, sizeof digits, "%" PRId64, count), used = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

const char *view_text_short(double number, char text[VIEW_TEXT])
{
    static const char units[] = " kMGTPE";
    if (!(number >= 0.0 && number < 1e21))
        return unknown(text);
    int unit = 0;
    for (; number >= 999.5; unit++)
        number /= 1000.0;
    if (unit == 0)
        snprintf(text, VIEW_TEXT, "%.0f", number);
    else
        snprintf(text, VIEW_TEXT, "%.*f %c", number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2, number, units[unit]);
    return text;
}

const char *view_text_rate(double number, char text[VIEW_TEXT])
{
    if (!(number >= 0.0 && number < 1e15))
        return unknown(text);
    if (number >= 999.5)
        return view_text_count((int64_t)(number + 0.5), text);
    snprintf(text, VIEW_TEXT, number >= 99.95 || number == 0.0 ? "%.0f" : number >= 9.995 ? "%.1f" : "%.2f", number);
    return text;
}

const char *view_text_loss(double loss, char text[VIEW_TEXT])
{
    if (!isfinite(loss))
        return unknown(text);
    int plain = loss == 0.0 || (fabs(loss) >= 1e-3 && fabs(loss) < 1e5);
    snprintf(text, VIEW_TEXT, plain ? "%.4f" : "%.3e", loss);
    return text;
}

const char *view_text_percent(double ratio, char text[VIEW_TEXT])
{
    if (!isfinite(ratio))
        return unknown(text);
    snprintf(text, VIEW_TEXT, fabs(ratio) < 1e6 ? "%.1f %%" : "%.1e %%", 100.0 * ratio);
    return text;
}

const char *view_text_ms(double ms, char text[VIEW_TEXT])
{
    if (!(ms >= 0.0 && isfinite(ms)))
        return unknown(text);
    const char *unit = ms < 999.5 ? "ms" : "s";
    double value = ms < 999.5 ? ms : ms / 1000.0;
    int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.0995 || value == 0.0 ? 2 : 3;
    snprintf(text, VIEW_TEXT, value < 1e9 ? "%.*f %s" : "%.*e %s", decimals, value, unit);
    return text;
}

char view_text_phase_letter(base_phase phase)
{
    static const char letters[BASE_PHASE_COUNT] = {
        [BASE_PHASE_DATA] = 'D',  [BASE_PHASE_FORWARD] = 'F',    [BASE_PHASE_BACKWARD] = 'B',
        [BASE_PHASE_WAIT] = 'w',  [BASE_PHASE_REDUCE] = 'R',     [BASE_PHASE_UPDATE] = 'U',
        [BASE_PHASE_OTHER] = 'o', [BASE_PHASE_CHECKPOINT] = 'C', [BASE_PHASE_EVALUATE] = 'E'};
    return letters[phase];
}
