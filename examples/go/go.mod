module example.com/nvtopo

go 1.22
