# Compiler flags, ccache and sanitizers, in one place.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET default)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # Precompiled headers only hit the cache with these; -fpch-preprocess lets ccache see through them.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
endif()

add_library(medseg_flags INTERFACE)
target_compile_options(medseg_flags INTERFACE -Wall -Wextra -Wpedantic -Wno-unused-parameter)
if(CCACHE_PROGRAM)
  target_compile_options(medseg_flags INTERFACE -fpch-preprocess)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(medseg_flags INTERFACE -O3)
endif()
# Contraction stays off so that results do not depend on which loops the compiler fuses.
target_compile_options(medseg_flags INTERFACE -ffp-contract=off)
if(MEDSEG_ARCH)
  target_compile_options(medseg_flags INTERFACE -march=${MEDSEG_ARCH})
endif()
if(MEDSEG_SANITIZE)
  target_compile_options(medseg_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                         -fno-omit-frame-pointer -O1)
  target_link_options(medseg_flags INTERFACE -fsanitize=address,undefined)
endif()
