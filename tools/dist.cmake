# What libhdf5 is told for a release (tools/dist.sh): nothing of where it was built is to be in the program.
# No folder of plug-ins beside the build, where anybody could put some: only the system's is left.
set(H5_DEFAULT_PLUGINDIR "/usr/local/hdf5/lib/plugin" CACHE STRING "")

# Nor the text of its settings, with paths and flags, which it shows where its headers are of another version: it is made anew
# once all is configured. What is compiled to find out what the compiler can (try_compile) has no such file.
function(forget_build_settings)
  if(EXISTS "${CMAKE_BINARY_DIR}/src/H5build_settings.c")
    file(WRITE "${CMAKE_BINARY_DIR}/src/H5build_settings.c" "const char H5build_settings[] = \"libhdf5, built for arrayctl\\n\";\n")
  endif()
endfunction()
if(NOT blockwise_is_deferred)
  set(blockwise_is_deferred TRUE)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL forget_build_settings)
endif()
