/* Errors: their codes, texts and places, each thread's own; what they leave untouched. */

#define _POSIX_C_SOURCE 200809L

#include "check.h"

#include <pthread.h>

static void *fail_otherwise(void *unused)
{
    nvtopo_cpuset *cpuset = NULL;
    (void)unused;
    CHECK_TEXT(nvtopo_last_error_message(), "");
    CHECK_FAILS(nvtopo_cpuset_parse("0-3,x", &cpuset), NVTOPO_STATUS_INVALID_INPUT, "'x'");
    CHECK(cpuset == NULL);
    return NULL;
}

static void each_thread_has_its_last_error(void)
{
    pthread_t other;
    nvtopo_topology *topology = NULL;
    char before[512];
    CHECK_FAILS(nvtopo_topology_preset("abacus", &topology), NVTOPO_STATUS_INVALID_REQUEST, "abacus");
    snprintf(before, sizeof before, "%s", nvtopo_last_error_message());
    CHECK(pthread_create(&other, NULL, fail_otherwise, NULL) == 0);
    CHECK(pthread_join(other, NULL) == 0);
    CHECK_TEXT(nvtopo_last_error_message(), before);
}

static void success_leaves_the_last_error(void)
{
    nvtopo_cpuset *cpuset = NULL;
    CHECK_NULL(nvtopo_cpuset_parse(NULL, &cpuset), "list");
    CHECK_OK(nvtopo_cpuset_parse("1", &cpuset));
    CHECK(strstr(nvtopo_last_error_message(), "'list'") != NULL);
    nvtopo_cpuset_free(cpuset);
}

static void an_error_is_short_and_escaped(void)
{
    static char text[100001];
    nvtopo_cpuset *cpuset = NULL;
    memset(text, 'x', sizeof text - 1);
    CHECK_FAILS(nvtopo_cpuset_parse(text, &cpuset), NVTOPO_STATUS_INVALID_INPUT, "xxx");
    CHECK(strlen(nvtopo_last_error_message()) < 2000);
    CHECK_FAILS(nvtopo_cpuset_parse("\x1b[2J", &cpuset), NVTOPO_STATUS_INVALID_INPUT, "\\u{1b}[2J");
    CHECK(strchr(nvtopo_last_error_message(), '\x1b') == NULL && cpuset == NULL);
}

static void every_list_has_names(void)
{
    static const char *const lists[] = {"presets", "objectives", "policies", "formats",
                                        "exports", "memory", "rank-variables", "hazards"};
    const char *name = NULL, *about = NULL;
    size_t list, i, count = 0;
    for (list = 0; list < sizeof lists / sizeof lists[0]; list++) {
        CHECK_OK(nvtopo_list_count(lists[list], &count));
        CHECK(count >= 4);
        for (i = 0; i < count; i++) {
            CHECK_OK(nvtopo_list_name(lists[list], i, &name));
            CHECK(name[0] != '\0');
            CHECK_OK(nvtopo_list_about(lists[list], i, &about));
            CHECK(list > 3 || about != NULL);
        }
        CHECK_FAILS(nvtopo_list_name(lists[list], count, &name), NVTOPO_STATUS_INVALID_REQUEST, "name");
    }
    CHECK_OK(nvtopo_list_name("objectives", 0, &name));
    CHECK_TEXT(name, "ring");
    CHECK_FAILS(nvtopo_list_count("wishes", &count), NVTOPO_STATUS_INVALID_REQUEST, "presets");
    CHECK_NULL(nvtopo_list_count(NULL, &count), "list");
    CHECK_NULL(nvtopo_list_name("presets", 0, NULL), "name");
    CHECK_NULL(nvtopo_list_about("presets", 0, NULL), "text");
}

static void the_place_in_the_input_is_told(void)
{
    static const char text[] = "{\n  \"format\": oops\n}\n";
    nvtopo_topology *topology = NULL;
    CHECK(nvtopo_topology_parse("bad.json", text, sizeof text - 1, &topology) == NVTOPO_STATUS_INVALID_INPUT);
    CHECK(topology == NULL);
    CHECK(nvtopo_last_error_line() == 2);
    CHECK(nvtopo_last_error_column() > 1);
    CHECK(strstr(nvtopo_last_error_message(), "bad.json:2:") != NULL);
    CHECK_NULL(nvtopo_topology_preset("gh200", NULL), "topology");
    CHECK(nvtopo_last_error_line() == 0);
    CHECK(nvtopo_last_error_column() == 0);
}

int main(void)
{
    nvtopo_topology *topology = NULL;

    CHECK_TEXT(nvtopo_version(), NVTOPO_VERSION);
    CHECK(nvtopo_version_number() == NVTOPO_VERSION_NUMBER);
    CHECK(NVTOPO_VERSION_NUMBER == NVTOPO_VERSION_MAJOR * 10000 + NVTOPO_VERSION_MINOR * 100 + NVTOPO_VERSION_PATCH);
    CHECK_TEXT(nvtopo_status_name(NVTOPO_STATUS_OK), "ok");
    CHECK_TEXT(nvtopo_status_name(NVTOPO_STATUS_WRONG_MACHINE), "wrong-machine");
    CHECK_TEXT(nvtopo_status_name((nvtopo_status)4711), "unknown");
    CHECK_TEXT(nvtopo_path_name(NVTOPO_PATH_PIX), "PIX");
    CHECK_TEXT(nvtopo_path_name(NVTOPO_PATH_UNKNOWN), "unknown");
    CHECK_TEXT(nvtopo_path_name((nvtopo_path)-1), "unknown");
    CHECK(sizeof(nvtopo_status) == 4 && sizeof(nvtopo_path) == 4 && sizeof(nvtopo_basis) == 4);
    CHECK(sizeof(nvtopo_order_basis) == 4);
    CHECK_TEXT(nvtopo_last_error_message(), "");
    CHECK(nvtopo_last_error_line() == 0);

    /* Never renumbered: programs were compiled with these. */
    CHECK(NVTOPO_STATUS_OK == 0);
    CHECK(NVTOPO_STATUS_INVALID_INPUT == 1);
    CHECK(NVTOPO_STATUS_INVALID_REQUEST == 2);
    CHECK(NVTOPO_STATUS_UNSATISFIABLE == 3);
    CHECK(NVTOPO_STATUS_IO == 4);
    CHECK(NVTOPO_STATUS_WRONG_MACHINE == 5);
    CHECK(NVTOPO_STATUS_REFUSED == 6);
    CHECK(NVTOPO_STATUS_UNSUPPORTED == 7);
    CHECK(NVTOPO_STATUS_NULL_ARGUMENT == 100);
    CHECK(NVTOPO_STATUS_INVALID_UTF8 == 101);
    CHECK(NVTOPO_STATUS_PANIC == 102);

    each_thread_has_its_last_error();
    success_leaves_the_last_error();
    the_place_in_the_input_is_told();
    an_error_is_short_and_escaped();
    every_list_has_names();
    CHECK_FAILS(nvtopo_topology_open("/no/such/file", &topology), NVTOPO_STATUS_IO, "/no/such/file");
    CHECK_FAILS(nvtopo_topology_open("\xff\xfe", &topology), NVTOPO_STATUS_INVALID_UTF8, "'source'");
    CHECK(topology == NULL);

    nvtopo_topology_free(NULL);
    nvtopo_request_free(NULL);
    nvtopo_placement_free(NULL);
    nvtopo_binding_free(NULL);
    nvtopo_cpuset_free(NULL);
    return 0;
}
