"""Adversarial trainings of a VAE and a discriminator, and what they are trained on besides signals; where a method reads them.

Needs the node's labeled.h5 and history.h5, and what the learner says of its pool. Makes ranks.h5, adversary_<name>.h5, and latents.h5 of a
seed.
"""


rule ranks:
    input:
        unpack(plan.reads("ranks")),
    output:
        **plan.writes("ranks"),
    log:
        plan.log("ranks"),
    conda:
        plan.conda("ranks")
    threads: plan.threads("ranks")
    resources:
        gpu=plan.gpu("ranks"),
        mem_mb=plan.memory("ranks"),
        runtime=plan.runtime("ranks"),
    params:
        settings=plan.settings("ranks"),
        code=plan.code("ranks"),
        command=plan.command("ranks"),
    shell:
        "{params.command}"


rule adversary:
    input:
        unpack(plan.reads("adversary")),
    output:
        **plan.writes("adversary"),
    log:
        plan.log("adversary"),
    conda:
        plan.conda("adversary")
    threads: plan.threads("adversary")
    resources:
        gpu=plan.gpu("adversary"),
        mem_mb=plan.memory("adversary"),
        runtime=plan.runtime("adversary"),
    params:
        settings=plan.settings("adversary"),
        code=plan.code("adversary"),
        command=plan.command("adversary"),
    shell:
        "{params.command}"


rule latents:
    input:
        unpack(plan.reads("latents")),
    output:
        **plan.writes("latents"),
    log:
        plan.log("latents"),
    conda:
        plan.conda("latents")
    threads: plan.threads("latents")
    resources:
        gpu=plan.gpu("latents"),
        mem_mb=plan.memory("latents"),
        runtime=plan.runtime("latents"),
    params:
        settings=plan.settings("latents"),
        code=plan.code("latents"),
        command=plan.command("latents"),
    shell:
        "{params.command}"
