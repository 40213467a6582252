# cmake -DFROM=view_page.html -DTO=view_page.c -P view_page.cmake: a file as an array of C.
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes
       "${bytes}")
file(WRITE ${TO} "#include \"view_page.h\"\n\nconst unsigned char view_page[] = {\n${bytes}};\n"
                 "const size_t view_page_size = sizeof view_page;\n")
