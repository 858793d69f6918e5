"""What is good and what is not: one file per subject, one function per check, nothing that looks at the machine.

A check is a function whose parameters are the facts it needs, by the names of the fields of `facts.Facts`:

    @check("VRM009", "weights-are-light", cause="VRAM_TOO_SMALL_FOR_WEIGHTS", explained_by=("DRV001",))
    def weights_are_light(gpus: tuple[Gpu, ...], intent: Intent) -> Findings:
        '''The weights are light.        (the title: the healthy condition)

        Why it matters, how it is measured, thresholds with source.

        ## Fix
        What to do.
        '''
        yield ok(Text("...")) or fail(Text("..."), fix=Fix(...))

`T`: no verdict without that fact; `T | None`: judge also without; `Reading[T]`: judge the reading itself. Import from
`autoglm_doctor.api` only. Nothing has to be registered. Codes are for ever. CONTRIBUTING.md has the rest.
"""
