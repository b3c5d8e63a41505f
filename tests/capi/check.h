/* What the tests of the C interface share: checks that say where they failed. No test framework. */

#ifndef CHECK_H
#define CHECK_H

#include <nvtopo.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s\n  last error: %s\n", __FILE__, __LINE__, #condition,   \
                    nvtopo_last_error_message());                                              \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

#define CHECK_OK(call) CHECK((call) == NVTOPO_STATUS_OK)

/* The call fails with this status, and says so in words that contain `words`. */
#define CHECK_FAILS(call, status, words)                                                       \
    do {                                                                                       \
        CHECK((call) == (status));                                                             \
        CHECK(strstr(nvtopo_last_error_message(), (words)) != NULL);                           \
    } while (0)

#define CHECK_NULL(call, argument) CHECK_FAILS(call, NVTOPO_STATUS_NULL_ARGUMENT, "'" argument "'")

#define CHECK_TEXT(actual, expected) CHECK(strcmp((actual), (expected)) == 0)

#endif
