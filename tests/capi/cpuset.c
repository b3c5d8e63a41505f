/* Sets of CPUs: reading, writing, asking, and going through them. */

#include "check.h"

static void sets_are_read_written_and_asked(void)
{
    nvtopo_cpuset *cpuset = NULL;
    const char *text = NULL, *again = NULL;
    size_t count = 0;
    bool contains = false;

    CHECK_OK(nvtopo_cpuset_parse("8,0-3", &cpuset));
    CHECK_OK(nvtopo_cpuset_to_list(cpuset, &text));
    CHECK_TEXT(text, "0-3,8");
    CHECK_OK(nvtopo_cpuset_to_list(cpuset, &again));
    CHECK(text == again);
    CHECK_OK(nvtopo_cpuset_to_mask(cpuset, &text));
    CHECK_TEXT(text, "0000010f");
    CHECK_OK(nvtopo_cpuset_count(cpuset, &count));
    CHECK(count == 5);
    CHECK_OK(nvtopo_cpuset_contains(cpuset, 8, &contains));
    CHECK(contains);
    CHECK_OK(nvtopo_cpuset_contains(cpuset, UINT32_MAX, &contains));
    CHECK(!contains);
    nvtopo_cpuset_free(cpuset);

    CHECK_OK(nvtopo_cpuset_parse_mask("0x10f", &cpuset));
    CHECK_OK(nvtopo_cpuset_to_list(cpuset, &text));
    CHECK_TEXT(text, "0-3,8");
    nvtopo_cpuset_free(cpuset);
}

static void sets_are_gone_through(const char *list, const int64_t *expected)
{
    nvtopo_cpuset *cpuset = NULL;
    int64_t cpu = -1;
    CHECK_OK(nvtopo_cpuset_parse(list, &cpuset));
    do {
        CHECK_OK(nvtopo_cpuset_next(cpuset, cpu, &cpu));
        CHECK(cpu == *expected++);
    } while (cpu >= 0);
    CHECK_OK(nvtopo_cpuset_next(cpuset, INT64_MAX, &cpu));
    CHECK(cpu == -1);
    cpu = 7;
    CHECK_OK(nvtopo_cpuset_next(cpuset, INT64_MIN, &cpu));
    CHECK(cpu != 7);
    nvtopo_cpuset_free(cpuset);
}

static void misuse_is_an_error(void)
{
    nvtopo_cpuset *cpuset = NULL;
    const char *text = "untouched";
    size_t count = 7;
    int64_t cpu = 7;
    bool contains = true;

    CHECK_NULL(nvtopo_cpuset_parse("0", NULL), "cpuset");
    CHECK_NULL(nvtopo_cpuset_parse(NULL, &cpuset), "list");
    CHECK_NULL(nvtopo_cpuset_parse_mask(NULL, &cpuset), "mask");
    CHECK_FAILS(nvtopo_cpuset_parse("3-1", &cpuset), NVTOPO_STATUS_INVALID_INPUT, "3-1");
    CHECK_FAILS(nvtopo_cpuset_parse("0-4294967295", &cpuset), NVTOPO_STATUS_INVALID_INPUT, "4294967295");
    CHECK_FAILS(nvtopo_cpuset_parse_mask("xyz", &cpuset), NVTOPO_STATUS_INVALID_INPUT, "xyz");
    CHECK_FAILS(nvtopo_cpuset_parse("\xc3", &cpuset), NVTOPO_STATUS_INVALID_UTF8, "'list'");
    CHECK_NULL(nvtopo_cpuset_to_list(NULL, &text), "cpuset");
    CHECK_NULL(nvtopo_cpuset_to_mask(NULL, &text), "cpuset");
    CHECK_NULL(nvtopo_cpuset_count(NULL, &count), "cpuset");
    CHECK_NULL(nvtopo_cpuset_contains(NULL, 0, &contains), "cpuset");
    CHECK_NULL(nvtopo_cpuset_next(NULL, -1, &cpu), "cpuset");
    CHECK(cpuset == NULL && count == 7 && cpu == 7 && contains);
    CHECK_TEXT(text, "untouched");

    CHECK_OK(nvtopo_cpuset_parse("0", &cpuset));
    CHECK_NULL(nvtopo_cpuset_to_list(cpuset, NULL), "list");
    CHECK_NULL(nvtopo_cpuset_to_mask(cpuset, NULL), "mask");
    CHECK_NULL(nvtopo_cpuset_count(cpuset, NULL), "count");
    CHECK_NULL(nvtopo_cpuset_contains(cpuset, 0, NULL), "contains");
    CHECK_NULL(nvtopo_cpuset_next(cpuset, -1, NULL), "cpu");
    nvtopo_cpuset_free(cpuset);
}

static nvtopo_cpuset *parsed(const char *list)
{
    nvtopo_cpuset *cpuset = NULL;
    CHECK_OK(nvtopo_cpuset_parse(list, &cpuset));
    return cpuset;
}

/* The set says `list`; it is freed. */
static void check_list(nvtopo_cpuset *cpuset, const char *list)
{
    const char *text = NULL;
    CHECK_OK(nvtopo_cpuset_to_list(cpuset, &text));
    CHECK_TEXT(text, list);
    nvtopo_cpuset_free(cpuset);
}

static void sets_are_made_and_combined(void)
{
    static const uint32_t some[] = {3, 1, 3}, high[] = {65536};
    nvtopo_cpuset *a = parsed("0-3"), *b = parsed("2-5"), *set = NULL;
    size_t count = 0;
    bool is = false;

    CHECK_OK(nvtopo_cpuset_new(some, 3, &set));
    check_list(set, "1,3");
    CHECK_OK(nvtopo_cpuset_new(NULL, 0, &set));
    check_list(set, "");
    CHECK_OK(nvtopo_cpuset_range(4, 7, &set));
    check_list(set, "4-7");
    CHECK_OK(nvtopo_cpuset_clone(a, &set));
    CHECK_OK(nvtopo_cpuset_is_equal(a, set, &is));
    CHECK(is);
    check_list(set, "0-3");
    CHECK_OK(nvtopo_cpuset_union(a, b, &set));
    CHECK_OK(nvtopo_cpuset_is_subset(a, set, &is));
    CHECK(is);
    CHECK_OK(nvtopo_cpuset_is_subset(set, a, &is));
    CHECK(!is);
    check_list(set, "0-5");
    CHECK_OK(nvtopo_cpuset_intersection(a, b, &set));
    check_list(set, "2-3");
    CHECK_OK(nvtopo_cpuset_difference(a, b, &set));
    check_list(set, "0-1");
    CHECK_OK(nvtopo_cpuset_is_equal(a, b, &is));
    CHECK(!is);
    CHECK_OK(nvtopo_cpuset_here(&set));
    CHECK_OK(nvtopo_cpuset_count(set, &count));
    CHECK(count >= 1);
    nvtopo_cpuset_free(set);
    set = NULL;

    CHECK_FAILS(nvtopo_cpuset_new(high, 1, &set), NVTOPO_STATUS_INVALID_REQUEST, "65536");
    CHECK_FAILS(nvtopo_cpuset_range(0, UINT32_MAX, &set), NVTOPO_STATUS_INVALID_REQUEST, "4294967295");
    CHECK_FAILS(nvtopo_cpuset_range(5, 4, &set), NVTOPO_STATUS_INVALID_REQUEST, "ends before it begins");
    CHECK_NULL(nvtopo_cpuset_new(NULL, 1, &set), "cpus");
    CHECK_NULL(nvtopo_cpuset_here(NULL), "cpuset");
    CHECK_NULL(nvtopo_cpuset_clone(NULL, &set), "cpuset");
    CHECK_NULL(nvtopo_cpuset_union(NULL, b, &set), "a");
    CHECK_NULL(nvtopo_cpuset_intersection(a, NULL, &set), "b");
    CHECK_NULL(nvtopo_cpuset_difference(a, b, NULL), "cpuset");
    CHECK_NULL(nvtopo_cpuset_is_equal(a, NULL, &is), "b");
    CHECK_NULL(nvtopo_cpuset_is_subset(NULL, b, &is), "a");
    CHECK(set == NULL);
    nvtopo_cpuset_free(b);
    nvtopo_cpuset_free(a);
}

int main(void)
{
    static const int64_t none[] = {-1}, some[] = {0, 2, 63, 64, 65535, -1};
    sets_are_read_written_and_asked();
    sets_are_gone_through("", none);
    sets_are_gone_through("0,2,63-64,65535", some);
    sets_are_made_and_combined();
    misuse_is_an_error();
    return 0;
}
