"""Tables and figures of a study: one rule for each that `dagal.report.registry` holds and the study has.

Needs metrics.json, scores, signals, queries and benchmark files of the nodes. Makes <results>/*.csv and <results>/figures/*.
"""

for name, item in registry.items(reached).items():

    rule:
        name:
            name
        input:
            unpack(plan.reads(name)),
        output:
            **{
                output: (
                    report(path, caption=captions[name], category=item.category, labels={"name": item.labels[output]})
                    if output in item.labels
                    else path
                )
                for output, path in plan.writes(name).items()
            },
        log:
            plan.log(name),
        conda:
            plan.conda(name)
        resources:
            gpu=0,
            mem_mb=plan.memory(name),
            runtime=plan.runtime(name),
        params:
            settings=plan.settings(name),
            code=plan.code(name),
            command=plan.command(name),
        shell:
            "{params.command}"
