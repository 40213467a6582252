#include "base_services.h"

const base_services base_services_own = {.fail = base_status_fail,
                                         .frame = base_status_frame,
                                         .message = base_status_message,
                                         .clear = base_status_clear,
                                         .log_write = base_log_write};
