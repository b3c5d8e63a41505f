/* Why these GPUs, and what would have been chosen instead. */

#include "check.h"

static nvtopo_explanation *explained(size_t gpus, const char *exclude, const char *include)
{
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_explanation *explanation = NULL;
    CHECK_OK(nvtopo_topology_preset("dgx-1-v100", &topology));
    CHECK_OK(nvtopo_request_new(gpus, &request));
    if (exclude != NULL) CHECK_OK(nvtopo_request_exclude_named(request, exclude));
    if (include != NULL) CHECK_OK(nvtopo_request_include_named(request, include));
    CHECK_OK(nvtopo_topology_explain(topology, request, &explanation));
    nvtopo_request_free(request);
    nvtopo_topology_free(topology); /* The explanation lives on. */
    return explanation;
}

static void check_gpus(const nvtopo_alternative *alternative, const uint32_t *gpus, size_t count)
{
    size_t has = 0, i;
    uint32_t index = 99;
    CHECK_OK(nvtopo_alternative_gpu_count(alternative, &has));
    CHECK(has == count);
    for (i = 0; i < count; i++) {
        CHECK_OK(nvtopo_alternative_gpu(alternative, i, &index));
        CHECK(index == gpus[i]);
    }
    CHECK_FAILS(nvtopo_alternative_gpu(alternative, count, &index), NVTOPO_STATUS_INVALID_REQUEST, "GPU");
}

static void what_was_not_chosen_is_told(void)
{
    static const uint32_t first_two[] = {0, 1};
    nvtopo_explanation *explanation = explained(2, NULL, NULL);
    const nvtopo_placement *placement = NULL;
    const nvtopo_alternative *next = NULL, *first_fit = NULL;
    const char *text = NULL;
    nvtopo_score score, chosen;
    size_t count = 0, of_placement = 0;

    CHECK_OK(nvtopo_explanation_to_json(explanation, &text));
    CHECK(strstr(text, "\"first_fit\"") != NULL);
    CHECK_NULL(nvtopo_explanation_to_json(NULL, &text), "explanation");
    CHECK_OK(nvtopo_explanation_placement(explanation, &placement));
    CHECK_OK(nvtopo_placement_gpu_count(placement, &count));
    CHECK(count == 2);
    CHECK_OK(nvtopo_placement_why(placement, &text));
    CHECK(text[0] != '\0');

    CHECK_OK(nvtopo_explanation_first_fit(explanation, &first_fit));
    check_gpus(first_fit, first_two, 2);
    CHECK_OK(nvtopo_alternative_loss(first_fit, &text));
    CHECK_TEXT(text, "ring: 25 GB/s instead of 50 GB/s");
    CHECK_OK(nvtopo_alternative_score_count(first_fit, &count));
    CHECK_OK(nvtopo_placement_score_count(placement, &of_placement));
    CHECK(count == of_placement && count > 0);
    CHECK_OK(nvtopo_alternative_score(first_fit, 0, &score));
    CHECK_OK(nvtopo_placement_score(placement, 0, &chosen));
    CHECK_TEXT(score.objective, "ring");
    CHECK_TEXT(score.unit, "GB/s");
    CHECK(score.value == 25.0 && chosen.value == 50.0);
    CHECK_FAILS(nvtopo_alternative_score(first_fit, count, &score), NVTOPO_STATUS_INVALID_REQUEST, "score");

    CHECK_OK(nvtopo_explanation_next(explanation, &next));
    CHECK(next != NULL && next != first_fit);
    CHECK_OK(nvtopo_alternative_gpu_count(next, &count));
    CHECK(count == 2);
    nvtopo_explanation_free(explanation);
    nvtopo_explanation_free(NULL);
}

static void sometimes_there_is_nothing_else(void)
{
    static const uint32_t upper_pair[] = {1, 2};
    nvtopo_explanation *explanation = explained(8, NULL, NULL);
    const nvtopo_alternative *alternative = NULL;
    const char *text = "not yet";

    CHECK_OK(nvtopo_explanation_next(explanation, &alternative));
    CHECK(alternative == NULL);
    CHECK_OK(nvtopo_explanation_first_fit(explanation, &alternative));
    CHECK(alternative == NULL);
    nvtopo_explanation_free(explanation);

    explanation = explained(1, NULL, "7"); /* What must be taken is no first fit. */
    CHECK_OK(nvtopo_explanation_first_fit(explanation, &alternative));
    CHECK(alternative == NULL);
    nvtopo_explanation_free(explanation);

    explanation = explained(2, "0", NULL);
    CHECK_OK(nvtopo_explanation_first_fit(explanation, &alternative));
    check_gpus(alternative, upper_pair, 2);
    CHECK_OK(nvtopo_alternative_loss(alternative, &text));
    CHECK(text != NULL && strstr(text, " instead of ") != NULL);
    nvtopo_explanation_free(explanation);

    explanation = explained(4, NULL, NULL); /* The halves of the machine are alike. */
    CHECK_OK(nvtopo_explanation_next(explanation, &alternative));
    CHECK_OK(nvtopo_alternative_loss(alternative, &text));
    CHECK(text == NULL);
    nvtopo_explanation_free(explanation);
}

static void misuse_is_an_error(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_explanation *explanation = NULL;
    const nvtopo_placement *placement = NULL;
    const nvtopo_alternative *alternative = NULL;
    const char *text = NULL;
    nvtopo_score score;
    uint32_t index = 7;
    size_t count = 7;

    CHECK_OK(nvtopo_topology_preset("dgx-1-v100", &topology));
    CHECK_OK(nvtopo_request_new(9, &request));
    CHECK_FAILS(nvtopo_topology_explain(topology, request, &explanation), NVTOPO_STATUS_UNSATISFIABLE, "9 GPUs");
    CHECK_NULL(nvtopo_topology_explain(NULL, request, &explanation), "topology");
    CHECK_NULL(nvtopo_topology_explain(topology, NULL, &explanation), "request");
    CHECK_NULL(nvtopo_topology_explain(topology, request, NULL), "explanation");
    CHECK_NULL(nvtopo_explanation_placement(NULL, &placement), "explanation");
    CHECK_NULL(nvtopo_explanation_next(NULL, &alternative), "explanation");
    CHECK_NULL(nvtopo_explanation_first_fit(NULL, &alternative), "explanation");
    CHECK_NULL(nvtopo_alternative_gpu_count(NULL, &count), "alternative");
    CHECK_NULL(nvtopo_alternative_gpu(NULL, 0, &index), "alternative");
    CHECK_NULL(nvtopo_alternative_score_count(NULL, &count), "alternative");
    CHECK_NULL(nvtopo_alternative_score(NULL, 0, &score), "alternative");
    CHECK_NULL(nvtopo_alternative_loss(NULL, &text), "alternative");
    CHECK(explanation == NULL && placement == NULL && alternative == NULL && text == NULL && index == 7 && count == 7);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

int main(void)
{
    what_was_not_chosen_is_told();
    sometimes_there_is_nothing_else();
    misuse_is_an_error();
    return 0;
}
