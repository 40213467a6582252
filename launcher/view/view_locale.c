#include "view_locale.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

void view_locale_set(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    if (setlocale(LC_CTYPE, ""))
        return;
    /* A locale that is not installed here, as after ssh from elsewhere: of its name we need the character set alone. */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (!value || !*value)
            continue;
        if (strcasestr(value, "UTF-8") || strcasestr(value, "utf8"))
            setlocale(LC_CTYPE, "C.UTF-8");
        return;
    }
}

int view_locale_is_unicode(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
