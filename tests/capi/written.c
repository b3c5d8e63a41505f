/* Topologies in the formats of other programs. */

#include "check.h"

/* Two GPUs, as nvidia-smi shows them. */
static const char MATRIX[] = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-15\nGPU1\tNV4\t X \t0-15\n";

static void every_format_is_written(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_written *written = NULL;
    const char *format = NULL, *text = NULL, *json = NULL;
    size_t formats = 0, i = 0;

    CHECK_OK(nvtopo_topology_preset("dgx-a100", &topology));
    CHECK_OK(nvtopo_list_count("writers", &formats));
    CHECK(formats > 0);
    for (i = 0; i < formats; i++) {
        CHECK_OK(nvtopo_list_name("writers", i, &format));
        CHECK_OK(nvtopo_topology_write(topology, format, &written));
        CHECK_OK(nvtopo_written_text(written, &text));
        CHECK(strlen(text) > 0 && text[strlen(text) - 1] == '\n');
        if (strcmp(format, "json") == 0) {
            CHECK_OK(nvtopo_topology_to_json(topology, &json));
            CHECK_TEXT(text, json);
        }
        nvtopo_written_free(written);
    }
    nvtopo_topology_free(topology);
}

static void options_are_heard(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_written *written = NULL;
    const char *text = NULL, *code = NULL;

    CHECK_OK(nvtopo_topology_preset("dgx-a100", &topology));
    CHECK_OK(nvtopo_topology_write_with(topology, "slurm.conf", "n7", NULL, &written));
    CHECK_OK(nvtopo_written_text(written, &text));
    CHECK(strstr(text, "NodeName=n7 ") != NULL);
    nvtopo_written_free(written);
    CHECK_OK(nvtopo_topology_write_with(topology, "libvirt-xml", "vm1", "0-1,mlx5_0", &written));
    CHECK_OK(nvtopo_written_text(written, &text));
    CHECK(strstr(text, "<name>vm1</name>") != NULL);
    CHECK_OK(nvtopo_written_note_code(written, 0, &code));
    CHECK_TEXT(code, "guest-acs");
    nvtopo_written_free(written);
    written = NULL;
    CHECK_FAILS(nvtopo_topology_write_with(topology, "nccl-xml", NULL, "GPU9", &written),
                NVTOPO_STATUS_INVALID_REQUEST, "GPU9");
    CHECK_FAILS(nvtopo_topology_write_with(topology, "nccl-xml", NULL, "0,GPU0", &written),
                NVTOPO_STATUS_INVALID_REQUEST, "twice");
    CHECK_NULL(nvtopo_topology_write_with(NULL, "json", NULL, NULL, &written), "topology");
    CHECK_NULL(nvtopo_topology_write_with(topology, NULL, NULL, NULL, &written), "format");
    CHECK(written == NULL);
    nvtopo_topology_free(topology);
}

static void notes_have_codes(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_written *written = NULL;
    const char *note = NULL;
    size_t notes = 9;

    CHECK_OK(nvtopo_topology_parse("topo.txt", MATRIX, strlen(MATRIX), &topology));
    CHECK_OK(nvtopo_topology_write(topology, "json", &written));
    nvtopo_topology_free(topology);
    CHECK_OK(nvtopo_written_note_count(written, &notes));
    CHECK(notes == 0);
    CHECK_FAILS(nvtopo_written_note(written, 0, &note), NVTOPO_STATUS_INVALID_REQUEST, "note");
    CHECK_FAILS(nvtopo_written_note_code(written, 0, &note), NVTOPO_STATUS_INVALID_REQUEST, "note");
    CHECK(note == NULL);
    nvtopo_written_free(written);
}

static void pictures_are_drawn(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_request *request = NULL;
    nvtopo_placement *placement = NULL;
    nvtopo_written *written = NULL;
    const char *text = NULL;

    CHECK_OK(nvtopo_topology_preset("dgx-1-v100", &topology));
    CHECK_OK(nvtopo_request_new(2, &request));
    CHECK_OK(nvtopo_topology_place(topology, request, &placement));
    CHECK_OK(nvtopo_topology_draw(topology, placement, "svg", &written));
    CHECK_OK(nvtopo_written_text(written, &text));
    CHECK(strncmp(text, "<svg", 4) == 0 && strstr(text, "rank 1") != NULL);
    nvtopo_written_free(written);
    CHECK_OK(nvtopo_topology_draw(topology, NULL, "html", &written));
    CHECK_OK(nvtopo_written_text(written, &text));
    CHECK(strncmp(text, "<!doctype html>", 15) == 0);
    nvtopo_written_free(written);
    written = NULL;
    CHECK_FAILS(nvtopo_topology_draw(topology, NULL, "gif", &written), NVTOPO_STATUS_INVALID_REQUEST, "svg");
    CHECK_FAILS(nvtopo_topology_draw(topology, NULL, "png", &written), NVTOPO_STATUS_INVALID_REQUEST, "svg");
    CHECK_NULL(nvtopo_topology_draw(NULL, NULL, "svg", &written), "topology");
    CHECK_NULL(nvtopo_topology_draw(topology, NULL, NULL, &written), "format");
    CHECK(written == NULL);
    nvtopo_placement_free(placement);
    nvtopo_request_free(request);
    nvtopo_topology_free(topology);
}

static void what_cannot_be_is_refused(void)
{
    nvtopo_topology *topology = NULL;
    nvtopo_written *written = NULL;
    const char *text = NULL;
    size_t count = 7;

    CHECK_OK(nvtopo_topology_preset("gh200", &topology));
    CHECK_FAILS(nvtopo_topology_write(topology, "docx", &written), NVTOPO_STATUS_INVALID_REQUEST, "json");
    CHECK_NULL(nvtopo_topology_write(NULL, "json", &written), "topology");
    CHECK_NULL(nvtopo_topology_write(topology, NULL, &written), "format");
    CHECK_NULL(nvtopo_topology_write(topology, "json", NULL), "written");
    CHECK(written == NULL);
    nvtopo_topology_free(topology);
    CHECK_NULL(nvtopo_written_text(NULL, &text), "written");
    CHECK_NULL(nvtopo_written_note_count(NULL, &count), "written");
    CHECK_NULL(nvtopo_written_note(NULL, 0, &text), "written");
    CHECK_NULL(nvtopo_written_note_code(NULL, 0, &text), "written");
    CHECK(text == NULL && count == 7);
    nvtopo_written_free(NULL);
}

int main(void)
{
    every_format_is_written();
    options_are_heard();
    notes_have_codes();
    pictures_are_drawn();
    what_cannot_be_is_refused();
    return 0;
}
