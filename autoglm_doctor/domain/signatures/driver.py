"""The driver on the host: its kernel module, who else holds the GPU, and the firmware below."""

from __future__ import annotations

from autoglm_doctor.domain.signatures.row import NVIDIA, REPORTS, Signature

#: Spoken of, and not as something that is off.
_SECURE_BOOT = (
    r"(?<!no )(?<!not )(?<!off )(?<!without )(?<!disabled )(?<!disabling )(?<!disable )"
    r"secure ?boot(?!\W{1,3}(?:\w+\W{1,3}){0,3}?(?:disabled|off|not|no|false)\b)|\bMOK\b"
)
_LEGACY_GONE = r"(NVIDIA )?(59\d|[6-9]\d\d)\.\d"
_BAR = ("lspci -nn -d 10de:", "sudo dmesg | grep -i -E 'nvrm|BAR' | tail")
#: Not the packages around it, nor a file's path.
_OTHERS = r"(?<![\w/-])(nouveau|nova[_-]?core)\b"
#: It is only named: by what keeps it from loading, or among the modules that would fit.
_KEPT_AWAY = (
    r"blacklist|modeset=0|Kernel modules:|install nouveau /bin/|\bprevent\w* nouveau"
    r"|\b(no|without|remov\w+|disabl\w+|unload\w*) nouveau\b"
    r"|nouveau( driver| module)?( is| was)?( not\b|n't\b| disabled| removed| unloaded)"
)
#: The modules beside it move data past the processor; CUDA runs without them.
_CORE = r"nvidia(?![-_](peermem|fs)\b)"

ROWS: tuple[Signature, ...] = (
    Signature(
        "NVML_DRIVER_LIBRARY_MISMATCH",
        r"driver/library version mismatch|LIB_RM_VERSION_MISMATCH|LibRmVersionMismatch|NVML/RM version mismatch"
        r"|API mismatch: the client\b|but this kernel module has the version \d"
        r"|kernel version [\d.]+ does not match DSO version",
        "the driver was updated and its old kernel module still runs",
        "Load the new module, or reboot.",
        ("sudo reboot",),
        "reboot",
        NVIDIA,
        in_warnings=True,
    ),
    Signature(
        "SECURE_BOOT_BLOCKS_MODULE",
        r"Key was rejected by service|Required key not available|module verification failed.{0,40}nvidia"
        r"|Loading of (unsigned module|module with unavailable key) is rejected"
        r"|Lockdown: .{0,40}unsigned module loading is restricted"
        r"|signed kernel module failed to load|kernel does not trust any key"
        r"|could not insert (module )?\S*\bnvidia\S*: Operation not permitted",
        "Secure Boot refuses the NVIDIA module, which is not signed with a known key",
        "Enrol the key of the module, or turn Secure Boot off.",
        ("mokutil --sb-state", "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der"),
        "reboot",
        REPORTS,
    ),
    Signature(
        "NOUVEAU_OR_NOVA_HOLDS_GPU",
        rf"in use: {_OTHERS}|^{_OTHERS} +\d+ +\d|{_OTHERS} [\da-f]{{4}}:|^(?!.*({_KEPT_AWAY})).*{_OTHERS}"
        r"|obtained ownership of the NVIDIA device"
        r"|NVIDIA probe routine was not called for \d+ device|Try unloading the conflicting kernel module",
        "another driver (nouveau) holds the GPU",
        "Keep nouveau from loading, then reboot.",
        ("echo 'blacklist nouveau' | sudo tee /etc/modprobe.d/blacklist-nouveau.conf", "sudo update-initramfs -u"),
        "reboot",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "KERNEL_MODULE_NOT_BUILT",
        r"Module nvidia(-current|[-_](uvm|drm|modeset))? not found"
        rf"|{_CORE}.{{0,30}}not found in (directory )?/lib/modules|Failed to find module '{_CORE}"
        r"|Error! Bad return status for module|\bdkms\b.{0,60}(fail|error|bad exit)"
        r"|Build of (?!\S*nvidia[-_](peermem|fs)\b)\S*nvidia\S* failed"
        r"|Your kernel headers for kernel .* cannot be found"
        rf"|Missing \S+ kernel headers for module {_CORE}"
        r"|error processing package nvidia-(?!fs)\S*dkms|(dkms|akmod)\S* package post-installation script .{0,40}error"
        rf"|could not insert (module )?\S*\b{_CORE}(?![-_]uvm)\S*: "
        r"(Exec format|Unknown symbol|Invalid (module|argument))"
        rf"|\b{_CORE}(?![-_]uvm)\S*: (version magic|disagrees about version of symbol|Unknown symbol)"
        r"|Unable to load the kernel module 'nvidia|Unable to find the kernel source tree"
        r"|performing the step: \W?Building (the )?kernel module|The kernel module failed to build"
        r"|GPL-incompatible module nvidia(?![-_](peermem|fs))|dkms apport\W{1,3}kernel package \S+ is not supported",
        "there is no NVIDIA module for the running kernel",
        "Install the kernel's headers and build the module again.",
        ("sudo apt install linux-headers-$(uname -r)", "sudo dkms autoinstall"),
        "reboot",
        REPORTS,
    ),
    Signature(
        "KERNEL_MODULE_FLAVOUR_WRONG",
        r"not supported by open( nvidia|$)|requires use of the NVIDIA open kernel modules"
        r"|not supported by the NVIDIA open"
        r"|because it does not include the required GPU|Open nvidia\.ko is only ready for use on"
        r"|\bproprietary\b.{0,40}\b(do|does)(n't| not) support .{0,20}(Blackwell|this GPU)"
        r"|open (GPU )?kernel modules? (do|does)(n't| not) support .{0,20}(GPU|Pascal|Maxwell|Volta)",
        "the NVIDIA module is of the flavour (open or proprietary) that does not drive this GPU",
        "Install the driver's other flavour.",
        ("sudo dmesg | grep NVRM | tail", "cat /proc/driver/nvidia/version"),
        "reboot",
        NVIDIA,
    ),
    Signature(
        "BIOS_BAR_SETTINGS",
        r"PCI I/O region assigned to your NVIDIA device is invalid"
        r"|NVRM: BAR\d is 0M|BIOS may have misconfigured your GPU"
        r"|(enable|turn on|without|no|missing|disabled?|off)\b.{0,20}\bAbove[- ]4G\b"
        r"|Above[- ]4G\b.{0,20}\b(disabled|off|missing)",
        "the BIOS gave the GPU no room for its memory window",
        "Turn on Above 4G Decoding and Resizable BAR in the BIOS.",
        _BAR,
        "reboot",
        NVIDIA,
    ),
    # The kernel names no vendor: only beside NVIDIA's words it is the GPU's.
    *(
        Signature(
            "BIOS_BAR_SETTINGS",
            r"(?<!\bVF )\bBAR [0-5]\b(?!.{0,3}\[io).{0,50}(no space|failed to assign|can't assign)",
            meaning,
            "Turn on Above 4G Decoding and Resizable BAR in the BIOS.",
            _BAR,
            "reboot",
            NVIDIA,
            sure="likely" if after else "hint",
            warns=not after,
            after=after,
        )
        for meaning, after in (
            ("the BIOS gave the GPU no room for its memory window", r"\bNVIDIA\b|\bNVRM\b|\[10de:"),
            ("a device, which may be the GPU, got no room for its memory window from the BIOS", ""),
        )
    ),
    Signature(
        "DRIVER_DROPPED_GPU",
        r"supported through the (NVIDIA )?\S+ Legacy|\d{3}\.xx Legacy driver|driver .{0,40}ignores .{0,20}GPU"
        r"|NVRM: .{0,80}not supported by this|The \S+ NVIDIA driver will ignore\b"
        r"|\b(Pascal|Maxwell|Volta|Kepler|Tesla [PVMK]\d+|GTX \d+)\b.{0,60}(no longer supported|dropped).{0,40}driver",
        "the installed driver no longer supports this GPU",
        "Install the legacy driver that the kernel's log names.",
        ("sudo dmesg | grep NVRM | tail",),
        "reboot",
        NVIDIA,
        in_warnings=True,
    ),
    Signature(
        "SECURE_BOOT_BLOCKS_MODULE",
        rf"({_SECURE_BOOT}).{{0,300}}couldn't communicate with the NVIDIA driver"
        rf"|couldn't communicate with the NVIDIA driver.{{0,300}}({_SECURE_BOOT})",
        "the NVIDIA module is not loaded, and Secure Boot is spoken of",
        "See what the kernel says of the module.",
        ("mokutil --sb-state", "sudo modprobe nvidia", "sudo dmesg | grep -i nvidia | tail"),
        "reboot",
        REPORTS,
        sure="likely",
    ),
    Signature(
        "KERNEL_MODULE_NOT_BUILT",
        r"couldn't communicate with the NVIDIA driver|NVML\w*[ :]\W?(error: )?(could not load NVML: )?driver not loaded"
        r"|NVMLError_DriverNotLoaded|NVML_ERROR_DRIVER_NOT_LOADED"
        r"|(nvml error|load NVML|initialize NVML): driver not loaded"
        r"|/proc/driver/nvidia/version\b.{0,10}: No such file"
        r"|nvidia-persistenced\S* (failed to init|.{0,20}failed because)"
        r"|nvidia-persistenced.{0,20}Failed to query NVIDIA devices",
        "the NVIDIA module is not loaded: not built for this kernel, as after an update, or refused by Secure Boot",
        "Install the headers of the running kernel and build the module again; then see what the kernel says of it.",
        (
            "sudo modprobe nvidia; sudo dmesg | grep -i nvidia | tail; mokutil --sb-state",
            "sudo apt install linux-headers-$(uname -r) && sudo dkms autoinstall",
        ),
        "reboot",
        REPORTS,
        sure="hint",
    ),
    # It knows neither GPUs that its branch dropped (590 from Volta down) nor ones that are newer than it.
    *(
        Signature(
            cause,
            rf"((not supported by the |^(NVRM: *)?){release}|GPU supported by the {to_install})\S* "
            r"(driver release|NVIDIA Linux graphics driver)",
            "the installed driver does not know this GPU",
            way_out,
            ("lspci -nn -d 10de:", "sudo dmesg | grep NVRM | tail"),
            "reboot",
            NVIDIA,
            sure="hint",
            in_warnings=True,
        )
        # The installer also finds no GPU where there is none; that one is newer is likely before 570 (Blackwell).
        for cause, release, to_install, way_out in (
            ("DRIVER_DROPPED_GPU", _LEGACY_GONE, _LEGACY_GONE, "Install the 580 legacy driver, or a newer one."),
            (
                "DRIVER_TOO_OLD",
                r"(NVIDIA )?[1-5]\d\d\.\d",
                r"(NVIDIA )?([1-4]\d\d|5[0-6]\d)\.\d",
                "Install a driver that is newer than the GPU.",
            ),
        )
    ),
    # The dialogue of Ubuntu's installer, and what people say of it.
    Signature(
        "SECURE_BOOT_BLOCKS_MODULE",
        r"UEFI Secure Boot .{0,40}(requires|not compatible)"
        r"|\bSecure ?Boot\b.{0,40}(module|driver).{0,20}(not|un)[ -]?signed",
        "Secure Boot takes no module that is not signed with a known key",
        "Enrol the key of the module, or turn Secure Boot off.",
        ("mokutil --sb-state", "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der"),
        "reboot",
        REPORTS,
        sure="hint",
    ),
)
