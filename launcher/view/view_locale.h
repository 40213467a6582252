/* view_locale.h: what the terminal can show. */
#ifndef VIEW_LOCALE_H
#define VIEW_LOCALE_H

/* Takes the character set from the environment, and nothing else of a locale: numbers keep their points. */
void view_locale_set(void);

/* 1: UTF-8. */
int view_locale_is_unicode(void);

#endif
