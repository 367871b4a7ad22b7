# Builds the addon without CMake, for the CPU only, from the same sources and with the same flags as CMakeLists.txt.
{
  "target_defaults": {
    "include_dirs": ["native"],
    "cflags!": ["-fno-omit-frame-pointer", "-Wno-unused-parameter"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-fno-exceptions", "-fno-rtti"],
    "cflags_cc": [
      "-std=c++20", "-O3", "-Wall", "-Wextra", "-fvisibility=hidden", "-fvisibility-inlines-hidden",
      "-ffp-contract=off", "-fno-math-errno", "-fstack-protector-strong"
    ],
    # As in cmake/hardening.cmake.
    "conditions": [
      ["OS=='linux'", {
        "cflags_cc": ["-fstack-clash-protection", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"],
        "ldflags": ["-Wl,-z,relro,-z,now,-z,noexecstack,-z,nodelete"]
      }],
      ["OS=='linux' and target_arch=='x64'", { "cflags_cc": ["-fcf-protection"] }]
    ],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "CLANG_CXX_LIBRARY": "libc++",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_ENABLE_CPP_RTTI": "YES",
      "GCC_OPTIMIZATION_LEVEL": "3",
      "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "WARNING_CFLAGS": ["-Wall", "-Wextra"],
      "OTHER_CFLAGS": ["-ffp-contract=off", "-fno-math-errno", "-fstack-protector-strong"]
    }
  },
  "targets": [
    {
      "target_name": "rnd1",
      # All except CUDA sources and those compiled per instruction set by the targets below.
      "sources": [
        "<!@(node -p \"require('fs').readdirSync('native',{recursive:true}).filter(f=>/^(?!backend.cuda.(?!unavailable)).*\\.cc$/.test(f)&&!/kernels_(amx|avx|neon|dotprod|i8mm)/.test(f)).map(f=>'native/'+f).join('\\n')\")"
      ],
      "dependencies": ["rnd1_avx2", "rnd1_avx512", "rnd1_avx512bf16", "rnd1_amx", "rnd1_neonbf16", "rnd1_neonf16", "rnd1_avxvnni", "rnd1_avx512vnni", "rnd1_dotprod", "rnd1_i8mm"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      # The last one: throwing into a worker thread that is being terminated must not end the process.
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "conditions": [
        ["OS=='linux'", { "ldflags": ["-pthread"] }]
      ]
    },
    # On other processors these return no kernels.
    {
      "target_name": "rnd1_avx2",
      "type": "static_library",
      "variables": { "instruction_set": ["-mavx2", "-mfma", "-mf16c"] },
      "sources": ["native/backend/cpu/float/kernels_avx2.cc", "native/backend/cpu/quantized/quantized_kernels_avx2.cc"],
      "conditions": [
        ["target_arch=='x64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_dotprod",
      "type": "static_library",
      "variables": { "instruction_set": ["-march=armv8.2-a+dotprod"] },
      "sources": ["native/backend/cpu/quantized/quantized_kernels_dotprod.cc"],
      "conditions": [
        ["target_arch=='arm64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_i8mm",
      "type": "static_library",
      "variables": { "instruction_set": ["-march=armv8.2-a+dotprod+i8mm"] },
      "sources": ["native/backend/cpu/quantized/quantized_kernels_i8mm.cc"],
      "conditions": [
        ["target_arch=='arm64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_avxvnni",
      "type": "static_library",
      "variables": { "instruction_set": ["-mavxvnni", "-mavx2", "-mfma", "-mf16c"] },
      "sources": ["native/backend/cpu/quantized/quantized_kernels_avxvnni.cc"],
      "conditions": [
        ["target_arch=='x64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_avx512vnni",
      "type": "static_library",
      "variables": {
        "instruction_set": [
          "-mavx512vnni", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"
        ]
      },
      "sources": ["native/backend/cpu/quantized/quantized_kernels_avx512vnni.cc"],
      "conditions": [
        ["target_arch=='x64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_avx512",
      "type": "static_library",
      "variables": { "instruction_set": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"] },
      "sources": ["native/backend/cpu/float/kernels_avx512.cc"],
      "conditions": [
        ["target_arch=='x64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_avx512bf16",
      "type": "static_library",
      "variables": {
        "instruction_set": ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mfma", "-mf16c"]
      },
      "sources": ["native/backend/cpu/float/kernels_avx512bf16.cc"],
      "conditions": [
        ["target_arch=='x64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_amx",
      "type": "static_library",
      "variables": {
        "instruction_set": [
          "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mavx512vnni", "-mfma", "-mf16c",
          "-mamx-tile", "-mamx-bf16", "-mamx-int8"
        ]
      },
      "sources": ["native/backend/cpu/float/kernels_amx.cc", "native/backend/cpu/quantized/quantized_kernels_amx.cc"],
      "conditions": [
        ["target_arch=='x64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_neonf16",
      "type": "static_library",
      "variables": { "instruction_set": ["-march=armv8.2-a+fp16fml"] },
      "sources": ["native/backend/cpu/float/kernels_neonf16.cc"],
      "conditions": [
        ["target_arch=='arm64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    },
    {
      "target_name": "rnd1_neonbf16",
      "type": "static_library",
      "variables": { "instruction_set": ["-march=armv8.2-a+bf16+fp16fml"] },
      "sources": ["native/backend/cpu/float/kernels_neonbf16.cc"],
      "conditions": [
        ["target_arch=='arm64'", {
          "cflags_cc": ["<@(instruction_set)", "-fno-stack-protector"],
          "xcode_settings": { "OTHER_CFLAGS": ["<@(instruction_set)"] }
        }]
      ]
    }
  ]
}
