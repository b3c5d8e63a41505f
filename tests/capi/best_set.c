/* The best GPUs by a bare matrix. */

#include "check.h"

#include <math.h>

static const nvtopo_gpu_set NONE = {0, 0};
static const nvtopo_gpu_set ALL = {UINT64_MAX, UINT64_MAX};

int main(void) {
    const double rows[16] = {
        NAN, 48.5, 9.0, 9.0,
        48.1, NAN, 9.0, 25.0,
        9.0, 9.0, NAN, NAN,
        9.0, 25.0, NAN, NAN,
    };
    nvtopo_best best;
    CHECK_OK(nvtopo_best_set(rows, 4, ALL, NONE, 2, "min-pair", &best));
    CHECK(best.set.low == 3 && best.set.high == 0 && best.proven);
    CHECK(best.value == 48.1 && best.bound == 48.1);

    const nvtopo_gpu_set three = {14, 0}, last = {8, 0}, unknown = {12, 0};
    CHECK_OK(nvtopo_best_set(rows, 4, three, last, 2, "pair-sum", &best));
    CHECK(best.set.low == 10 && best.value == 25.0);
    CHECK_OK(nvtopo_best_set(rows, 4, unknown, NONE, 2, "min-pair", &best));
    CHECK(best.set.low == 12 && isnan(best.value));

    best.set.low = 99;
    CHECK_FAILS(nvtopo_best_set(rows, 4, three, NONE, 4, "min-pair", &best), NVTOPO_STATUS_UNSATISFIABLE,
                "only 3 of 4 are free");
    CHECK_FAILS(nvtopo_best_set(rows, 4, ALL, NONE, 2, "ring", &best), NVTOPO_STATUS_INVALID_REQUEST, "min-pair");
    CHECK_FAILS(nvtopo_best_set(rows, SIZE_MAX, ALL, NONE, 2, "min-pair", &best), NVTOPO_STATUS_UNSUPPORTED,
                "128");
    CHECK_NULL(nvtopo_best_set(NULL, 4, ALL, NONE, 2, "min-pair", &best), "rows");
    CHECK_NULL(nvtopo_best_set(rows, 4, ALL, NONE, 2, NULL, &best), "objective");
    CHECK_NULL(nvtopo_best_set(rows, 4, ALL, NONE, 2, "min-pair", NULL), "best");
    CHECK(best.set.low == 99);

    /* 128 GPUs in two halves. */
    static double large[128 * 128];
    for (size_t a = 0; a < 128; a++) {
        for (size_t b = 0; b < 128; b++) large[a * 128 + b] = a / 64 == b / 64 ? 900.0 : 50.0;
    }
    const nvtopo_gpu_set high = {0xff, UINT64_MAX};
    CHECK_OK(nvtopo_best_set(large, 128, high, NONE, 64, "min-pair", &best));
    CHECK(best.set.low == 0 && best.set.high == UINT64_MAX && best.value == 900.0);
    return 0;
}
