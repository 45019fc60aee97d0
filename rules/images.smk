"""Images with noise in the pool of a seed. Needs images.h5 and split.h5; makes images.h5 of the seed."""


rule noisy_images:
    input:
        unpack(plan.reads("noisy_images")),
    output:
        **plan.writes("noisy_images"),
    log:
        plan.log("noisy_images"),
    conda:
        plan.conda("noisy_images")
    resources:
        gpu=0,
        mem_mb=plan.memory("noisy_images"),
        runtime=plan.runtime("noisy_images"),
    params:
        settings=plan.settings("noisy_images"),
        code=plan.code("noisy_images"),
        command=plan.command("noisy_images"),
    shell:
        "{params.command}"
